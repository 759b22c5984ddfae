"""`sr benchmark` as a library: test sets, the papers' protocol, metrics, reports."""
