"""``python -m loopwatch.console`` is ``loopwatch``."""

from .cli import main

if __name__ == "__main__":
    main()
