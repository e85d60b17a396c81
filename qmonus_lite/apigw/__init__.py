"""APIGW, the door to the network: takes uploads, serves routes, answers operators."""
