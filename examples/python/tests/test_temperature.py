from temperature import to_fahrenheit


def test_water_freezes_and_boils():
    assert to_fahrenheit(0) == 32
    assert to_fahrenheit(100) == 212


def test_the_scales_meet():
    assert to_fahrenheit(-40) == -40
