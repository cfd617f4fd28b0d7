"""The console: pages for people. Views read, call and answer; templates draw."""
