from helpers.server import *  # noqa: F403 - until the last test imports it from there
