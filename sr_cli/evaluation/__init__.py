"""How good an image or a network is, by the papers' protocol."""
