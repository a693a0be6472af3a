"""Temperatures in the two scales that people quarrel about."""


def to_fahrenheit(celsius: float) -> float:
    """Degrees Fahrenheit for degrees Celsius."""
    return celsius * 9 / 5 + 32
