"""Entry points: parse the command line, call one `run`, return an exit code."""
