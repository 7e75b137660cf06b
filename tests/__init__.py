"""The tests mirror the packages; being a package keeps `tests/cache` from shadowing `cache`."""
