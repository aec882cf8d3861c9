"""The numbers, tables, figures and claims of the five texts that this project began with, beside what the project has."""
