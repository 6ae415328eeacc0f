"""What requests and answers hold, one module for each kind of thing. Names are those of the models."""
