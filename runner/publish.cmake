# pj_publish: from a work tree to a pull request.
