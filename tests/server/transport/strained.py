"""The server with little time and few files: ``FILES=256 REQUEST_S=0.5 python strained.py <flags>``."""

import os
import resource
import sys

from bramble.cli import main
from bramble_server.transport.gevent import wsgi

if files := os.environ.get("FILES"):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files) // 2, int(files)))
wsgi.REQUEST_S = float(os.environ.get("REQUEST_S", wsgi.REQUEST_S))
main(["server", *sys.argv[1:]])
