"""How good a picture or a network is, by the papers' protocol."""
