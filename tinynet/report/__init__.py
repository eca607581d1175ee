"""Figures from files that exist: the only place that imports matplotlib."""

import logging

# where the home folder cannot be written to, matplotlib takes a temporary one and says so in two
# lines, which are no result or message of a command's
logging.getLogger("matplotlib").addFilter(
    lambda record: record.funcName != "_get_config_or_cache_dir"
)
