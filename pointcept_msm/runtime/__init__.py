"""What both hosts run on: processes, the environment, command lines, the one error for users."""
