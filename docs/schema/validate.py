"""Checks a schema itself, then each file against it; says what is wrong and ends with status 1: validate.py SCHEMA FILE..."""

import json
import sys

from jsonschema import Draft202012Validator as Validator

schema = json.load(open(sys.argv[1]))
Validator.check_schema(schema)
errors = [error for name in sys.argv[2:] for error in Validator(schema).iter_errors(json.load(open(name)))]
print(*(error.message for error in errors[:3]), sep="\n")
sys.exit(bool(errors))
