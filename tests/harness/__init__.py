"""The library that the suites in tests/ share: a codec, a raw client, and servers to start and stop."""
