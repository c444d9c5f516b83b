"""Planning: parameters, memory, cards, hours and data volume of a training, from a model's config.json alone."""

from tunewell.plan.cards import fit_word
from tunewell.plan.forecast import Plan, forecast
from tunewell.plan.job import Band, Job, Method, Numbers, Sharding
from tunewell.plan.place import Place, find_card, this_machine
from tunewell.plan.probe import Probe, probe
from tunewell.plan.rows import Rows
from tunewell.plan.shapes import Shapes, find_config, read_shapes
from tunewell.plan.source import estimated_rows, job_of, mixture_rows

__all__ = [
    "Band",
    "Job",
    "Method",
    "Numbers",
    "Place",
    "Plan",
    "Probe",
    "Rows",
    "Shapes",
    "Sharding",
    "estimated_rows",
    "find_card",
    "find_config",
    "fit_word",
    "forecast",
    "job_of",
    "mixture_rows",
    "probe",
    "read_shapes",
    "this_machine",
]
