"""Laws of the pure core, held over generated inputs and generated accidents."""
