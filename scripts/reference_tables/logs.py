"""Table of docs/reference/logs.md: the fields of log records."""

from qmonus_lite.log.field_names import FIELDS, RECORD_FIELDS, LogField
from reference_tables.markdown import table


def log_fields() -> str:
    """Fields by their names in JSON."""
    rows = [_row(field) for field in (*RECORD_FIELDS, *FIELDS)]
    return table(("in JSON", "on the console", "what"), rows)


def _row(field: LogField) -> tuple[str, str, str]:
    return f"`{field.output}`", f"`{field.name}`" if field.name else "", field.meaning
