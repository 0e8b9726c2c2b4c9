"""When a refusal is believed."""

_FOR, _LOOKS = 60.0, 3  # it stands so many seconds, and was seen so often


def lasts(since: float, looks: int, now: float) -> bool:
    """Tell whether a refusal lasts: rights and mounts come and go for a moment."""
    return looks >= _LOOKS and now - since >= _FOR
