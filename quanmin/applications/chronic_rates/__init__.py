"""The rates of hypertension and type-2 diabetes: managed to the norm, and on target.

For whom: doctors, nurses and public-health workers whose post charges them with chronic disease or
as family doctors. Why: the rates are reported every year, and each number leads to its cases. On
what ground: Basic public health service norm, third edition (国卫基层发〔2017〕13号).
"""
