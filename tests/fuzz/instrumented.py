"""One target under atheris, which sees what an input reaches.

`python -m tests.fuzz.instrumented TARGET [libFuzzer flag]…`
"""

import sys

import atheris

with atheris.instrument_imports(include=["qmonus_lite", "ruamel"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's flags say that it is enough; does not return."""
    name, *flags = sys.argv[1:]
    atheris.Setup([sys.argv[0], *flags], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
