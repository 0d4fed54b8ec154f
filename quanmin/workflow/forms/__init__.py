"""Forms: a FHIR Questionnaire (R4, with SDC's behaviour), compiled once and filled in often.

Nothing here reads or writes: what a form is filled from is handed in, what comes of it handed out.
"""

from quanmin.workflow.forms.answers import answers, label, words_of
from quanmin.workflow.forms.compiling import compile_form
from quanmin.workflow.forms.documents import documents
from quanmin.workflow.forms.extracting import extract
from quanmin.workflow.forms.filling import Filling, open_response
from quanmin.workflow.forms.model import Around, Fault, Form, Item, Option, Words
from quanmin.workflow.forms.prefilling import prefill, questions
from quanmin.workflow.forms.sending import fill

__all__ = [
    "Around",
    "Fault",
    "Filling",
    "Form",
    "Item",
    "Option",
    "Words",
    "answers",
    "compile_form",
    "documents",
    "extract",
    "fill",
    "label",
    "open_response",
    "prefill",
    "questions",
    "words_of",
]
