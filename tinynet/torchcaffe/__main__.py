"""``python -m tinynet.torchcaffe SCRIPT ARGS``: a pycaffe script, run by this engine."""

import sys

from tinynet.torchcaffe.pycaffe import script

if __name__ == "__main__":
    sys.exit(script.main())
