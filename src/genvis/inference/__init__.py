"""Running a network over videos: sessions, whole videos, association, typed results."""
