"""`python -m fileflow_async.cli`, where there is no script on the path."""

import sys

from fileflow_async.cli.command_line import main

sys.exit(main())
