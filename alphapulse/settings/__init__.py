"""Everything that can be set, read once at start: defaults shipped with the package, the user's file, the environment.

Later sources win: the packaged ``config/alphapulse.toml``, then ``config/profiles/NAME.toml`` of the profile in force,
then the user's ``alphapulse.toml`` (in ``$XDG_CONFIG_HOME/alphapulse/``, or where ``ALPHAPULSE_CONFIG`` points), then
``ALPHAPULSE_*`` variables (a table's key after two underscores: ``ALPHAPULSE_PAPER__FEE_RATE``), then what the command
line gave. The result is frozen.
"""

from alphapulse.settings.loading import config_file, load, load_without_file, unknown_variables
from alphapulse.settings.model import PREFIX, Settings, default_data_directory
from alphapulse.settings.tables import BackupRules, MarketRules, PaperRules, SmtpRules
from alphapulse.settings.values import is_loopback

__all__ = [
    "PREFIX",
    "BackupRules",
    "MarketRules",
    "PaperRules",
    "Settings",
    "SmtpRules",
    "config_file",
    "default_data_directory",
    "is_loopback",
    "load",
    "load_without_file",
    "unknown_variables",
]
