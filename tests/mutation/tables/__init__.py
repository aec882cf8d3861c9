"""The mutations, one table for each part of the project."""

from tests.mutation.tables import compiler, engines, models, rtl_array, rtl_control, rtl_units, search, spec

__all__ = ["MUTATIONS"]

MUTATIONS = [
    *rtl_array.MUTATIONS, *rtl_units.MUTATIONS, *rtl_control.MUTATIONS, *engines.MUTATIONS, *spec.MUTATIONS, *compiler.MUTATIONS,
    *models.MUTATIONS, *search.MUTATIONS,
]
