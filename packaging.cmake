# What an installation gets besides the programs, and the Debian package: units, users, folders, samples of settings, man pages, profiles,
# samples. `cpack -G DEB` in a release build folder makes the package.
set(unit_dir lib/systemd/system)
foreach(unit IN ITEMS api/pj-api runner/pj-runner)
    # The units name /usr/bin; another prefix is another folder.
    file(READ ${unit}.service text)
    string(REPLACE "/usr/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" text "${text}")
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${unit}.service CONTENT "${text}" @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/${unit}.service DESTINATION ${unit_dir})
endforeach()
install(FILES runner/pithyjaunt.sysusers DESTINATION lib/sysusers.d RENAME pithyjaunt.conf)
install(FILES runner/pithyjaunt.tmpfiles DESTINATION lib/tmpfiles.d RENAME pithyjaunt.conf)
install(FILES api/api.conf runner/runner.conf sandbox/pj-sandbox.apparmor DESTINATION share/pithyjaunt)
install(FILES helm/files/alerts.yaml helm/files/dashboard.json helm/files/runner-seccomp.json DESTINATION share/pithyjaunt)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "examples/*")
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

find_program(PJ_SCDOC scdoc)
if(PJ_SCDOC)
    set(pages)
    foreach(source IN ITEMS api/cli/pj.1 api/pj-api.8 runner/pj-runner.8 sandbox/pj-sandbox.1)
        if(EXISTS ${CMAKE_SOURCE_DIR}/${source}.scd)
            get_filename_component(page ${source} NAME)
            string(REGEX REPLACE ".*\\." "man" section ${page})
            add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/man/${page}
                COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
                COMMAND sh -c "exec \"$1\" <\"$2\" >\"$3\"" sh ${PJ_SCDOC} ${CMAKE_SOURCE_DIR}/${source}.scd
                    ${CMAKE_BINARY_DIR}/man/${page}
                DEPENDS ${CMAKE_SOURCE_DIR}/${source}.scd VERBATIM)
            list(APPEND pages ${CMAKE_BINARY_DIR}/man/${page})
            install(FILES ${CMAKE_BINARY_DIR}/man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/${section})
        endif()
    endforeach()
    add_custom_target(man ALL DEPENDS ${pages})
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pithyjaunt)
set(CPACK_PACKAGE_VENDOR "Pithy Jaunt")
set(CPACK_PACKAGE_CONTACT "Pithy Jaunt <pithyjaunt@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "turns a task into a pull request, in a sandbox")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, git, redis-server (>= 5:7)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/postinst ${CMAKE_SOURCE_DIR}/packaging/prerm
    ${CMAKE_SOURCE_DIR}/packaging/postrm)
include(CPack)
