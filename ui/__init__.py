"""The Streamlit user interface."""
