"""A plugin of pytest: the engine's module from another build, named by ``CONVIA_INSTRUMENTED``; see check_engine.py."""

import importlib.util
import os
import sys

spec = importlib.util.spec_from_file_location("convia.engine._native", os.environ["CONVIA_INSTRUMENTED"])
assert spec is not None and spec.loader is not None
module = importlib.util.module_from_spec(spec)
sys.modules["convia.engine._native"] = module  # before anything imports convia
spec.loader.exec_module(module)
