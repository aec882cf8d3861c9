"""What every command shares: files, command line, errors."""
