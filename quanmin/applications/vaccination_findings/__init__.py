"""The register of what stands against vaccines, or changes them: contraindications, each with its
end, the mother who carries hepatitis B, the low weight at birth.

For whom: doctors, nurses and public-health workers whose post charges them with vaccination. On
what ground: Vaccine Administration Law (2019), asking for contraindications before each dose.
"""
