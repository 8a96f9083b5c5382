"""What can go wrong for a user; the command line prints any of these as one line and exits 1."""


class Error(Exception):
    """Root of every error a caller may act on; the message says what was wrong and what would be right."""


class UnknownName(Error):
    """A target, profile, scheduler, family or pipeline that does not exist; the message lists those that do."""


class MissingPackage(Error):
    """A package that this step needs is not installed; the message says what to install."""


class BadModel(Error):
    """A checkpoint that can't be read, or of a family we do not know."""


class BadProfile(Error):
    """A profile with unknown keys or impossible values."""


class BundleCorrupt(Error):
    """A bundle whose files are missing, truncated, changed, or not as its manifest says."""


class BundleTooNew(Error):
    """A bundle of a later format than this version reads."""


class TargetMismatch(Error):
    """A bundle for another machine, device or engine than this one."""


class BadRequest(Error, ValueError):
    """An argument of a pipeline call outside what the bundle was built for."""


class QualityMissed(Error):
    """A compile whose result is under its quality budget."""


class NonFinite(Error):
    """NaN or infinity where numbers were due."""


class SessionFailed(Error):
    """The engine refused an artifact or failed while running it."""


class NotBuilt(Error):
    """An engine that this machine is to build of the bundle is not there yet, or no longer whole."""


class OutOfMemory(Error):
    """A device has too little free memory for what is asked of it."""


class OutputFailed(Error):
    """A result could not be written: no permission, no space, no such folder."""
