from helpers.networks import compact  # noqa: F401 - until the last test imports it from there
