"""Templates of Airflow, before they are filled in."""


def has_template(*values: object) -> bool:
    """Tell whether there is one in some values, however deep."""
    return any("{{" in text or "{%" in text for text in map(repr, values))
