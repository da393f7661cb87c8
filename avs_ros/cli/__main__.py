"""``python -m avs_ros.cli`` is ``avs``, for places where scripts are not on the path."""

import sys

from avs_ros.cli.main import main

sys.exit(main())
