"""Figures from files that exist: the only place that imports matplotlib."""

import logging

# If the home folder cannot be written to, matplotlib uses a temporary one and logs two lines about
# that, which are of no use to the user of a command.
logging.getLogger("matplotlib").addFilter(
    lambda record: record.funcName != "_get_config_or_cache_dir"
)
