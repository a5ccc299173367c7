# .deb packages by cpack: the library, what a program of one's own is built with, and the program. See scripts/package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME maskgrad)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The maskgrad developers <maskgrad@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL library development program)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})

set(library libmaskgrad${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(this_version "${PROJECT_VERSION}")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${library})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
# Loaded at the first large product.
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "libopenblas0-pthread | libopenblas0")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
  "The library, for every x86-64; processors with AVX2 or AVX-512 load a build of it for these.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libmaskgrad-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library} (= ${this_version}), libfmt-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "cmake (>= 3.25), g++, libxtensor-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers, and what find_package(maskgrad) of CMake reads.")

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME maskgrad)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "${library} (= ${this_version})")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
  "The program maskgrad, and a trained model of arithmetic in /usr/share/maskgrad/models.")

foreach(component library development program)
  string(TOUPPER ${component} upper)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright COMPONENT ${component}
          DESTINATION share/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
endforeach()
include(CPack)
