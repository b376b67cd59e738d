"""The parts of the Report page: where, what, what will become of it, and the reporter's own list."""
