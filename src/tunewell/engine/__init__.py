"""Where the work of a stage is done: in this process and its children, or on a Ray cluster. The results are the same.

A stage that must scale cuts its work into items and gives each to a function that reads and writes files of the run's folder
under names that hang on the item alone. An engine calls the function for every item, somewhere, and hands the results back in
the order of the items. An item whose worker died is simply done again.
"""

from tunewell.engine.local import LOCAL, LocalEngine
from tunewell.engine.protocol import Engine, EngineName, choose_engine

__all__ = ["LOCAL", "Engine", "EngineName", "LocalEngine", "choose_engine"]
