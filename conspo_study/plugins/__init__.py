"""Users' code: located by name (`load`), traced to its files (`find_sources`), shipped (`ship`).

A plugin is an objective or a reward outside of this package. The wing imports nothing else of the
project and no library; it raises PluginError.
"""

from conspo_study.plugins.resolve import (
    OBJECTIVES,
    REWARDS,
    PluginError,
    as_import_path,
    import_path,
    importable,
    is_import_path,
    load,
    load_module,
    module_of,
    path_of,
    refuse_while_importing,
)
from conspo_study.plugins.sources import (
    PluginSources,
    find_sources,
    missing_modules,
    search_in,
    ship,
)

__all__ = [
    "OBJECTIVES",
    "REWARDS",
    "PluginError",
    "PluginSources",
    "as_import_path",
    "find_sources",
    "import_path",
    "importable",
    "is_import_path",
    "load",
    "load_module",
    "missing_modules",
    "module_of",
    "path_of",
    "refuse_while_importing",
    "search_in",
    "ship",
]
