"""The command line's commands, a file for each kind; none imports torch before it is needed."""
