"""The errors of Rasd, one small tree.

``RasdError`` is everything that Rasd itself reports to a person: the command line
prints its message without a traceback and ends with code 1. Anything else that is
raised is a bug and is shown as one. A message says what happened, where (file, row,
column, value) and what to do.
"""


class RasdError(Exception):
    """Something a person can mend; the message says how."""


class InputError(RasdError):
    """A file, a row or an option that was handed in is wrong."""


class ProfileError(InputError):
    """No profile fits a file, or a profile is not well formed."""


class StoreError(RasdError):
    """The database or the private cluster cannot do what was asked."""


class ConfigError(RasdError):
    """A setting has a value that cannot work."""


class Cancelled(RasdError):
    """A long computation was stopped by who asked for it; raised by its ``tick``."""


class Refused(RasdError):
    """The person who asked may not do this, or not now; the message says why."""


class Conflict(RasdError):
    """Somebody else changed the same thing first; nothing was written."""
