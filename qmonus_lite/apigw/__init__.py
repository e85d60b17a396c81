"""APIGW, the HTTP server: receives uploads, serves plugin routes and operator endpoints."""
