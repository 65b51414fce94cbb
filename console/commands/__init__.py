"""One module a command of ``loopwatch``."""
