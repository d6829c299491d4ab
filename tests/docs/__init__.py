"""The documentation: its extensions, and the page of the model zoo in a browser."""
