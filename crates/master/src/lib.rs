//! The Master Service: API, pages, scheduler, permissions.
