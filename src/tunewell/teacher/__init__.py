"""The client for OpenAI-compatible servers: cache, limits, retries, budget, structured answers, batch files."""

from tunewell.teacher.cache import Cache
from tunewell.teacher.client import OpenAITeacher, Spent, default_cache
from tunewell.teacher.protocol import BudgetReached, Reply, Request, RequestFailed, Teacher

__all__ = ["BudgetReached", "Cache", "OpenAITeacher", "Reply", "Request", "RequestFailed", "Spent", "Teacher", "default_cache"]
