"""The files of deploy/ say what is true of the code."""
