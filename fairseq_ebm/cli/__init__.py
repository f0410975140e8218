"""Programs: argument parsing and files. Anything may be imported here, nothing imports it."""

import logging

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # fairseq lets all of it through
